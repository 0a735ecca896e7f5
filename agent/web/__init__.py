"""The page, the API and the socket."""
