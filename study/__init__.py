"""The study: every tracker, method, stride and movie, from the data folder to tables, figures and pages."""
