"""Sessions and keypoint files as files of other programs: NWB, SLEAP's labels, Parquet; in one pass and bounded memory."""
