"""The lines of SECURITY.md: each has a test here that is named after it, or names one."""
