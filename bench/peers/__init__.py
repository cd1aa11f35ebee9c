"""Networks of Facemap and sleap-nn, trained on the same labels as rtface's, beside them."""
