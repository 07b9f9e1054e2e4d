"""How levels fared afterwards, beside levels that nobody computed."""
