"""Find personal data and secrets in source code, and replace them."""
