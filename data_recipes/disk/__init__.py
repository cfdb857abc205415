"""Write files so that none is ever half-written, mark finished work, and use temporary files."""
