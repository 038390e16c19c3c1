"""Making and choosing language components of encoders, and measuring without them."""
