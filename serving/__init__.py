"""The API that intake systems call."""
