"""Charts and styles shared by the pages."""
