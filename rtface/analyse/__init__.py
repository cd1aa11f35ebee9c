"""What encoders explain and what populations do, offline; needs scipy and scikit-learn."""
