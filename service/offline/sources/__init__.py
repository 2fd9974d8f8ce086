"""What can be audited: folders, patterns, manifests, archives, Parquet files and URLs of them, as streams of items."""
