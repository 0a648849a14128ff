"""The pages of staff, in Chinese: server-rendered, quickened by htmx, usable by keyboard alone."""
