"""E-mail and IP addresses in source code: the rules of `email_rules` and `ip_rules` in one place."""

from data_recipes.email_rules import email_spans, has_email_candidate
from data_recipes.ip_rules import DNS_SERVERS, has_ip_candidate, ip_spans
from data_recipes.spans import Span

__all__ = ["DNS_SERVERS", "Span", "email_spans", "has_email_candidate", "has_ip_candidate", "ip_spans"]
