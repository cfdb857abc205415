"""Source trees and tables as rows."""
