"""The built-in filters, one a module; each module defines `FILTER`. They import only the standard library when loaded."""
