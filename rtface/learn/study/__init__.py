"""A study: recordings of face and neurons in one folder, read by what their files hold and analysed alike."""
