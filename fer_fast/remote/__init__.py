"""What lies in object stores and on the web: listed, read whole, and known again when it has changed."""
