"""Pictures for whoever looks on: message, measures, the thread that publishes them and the socket that takes them."""
