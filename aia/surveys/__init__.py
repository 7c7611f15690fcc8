"""What a network and its gates do over a whole data set, one row a clip, as Parquet files."""
