"""The room of what the back ends on a GPU share."""
