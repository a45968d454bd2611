"""Small data sets that come with the package; each module has a load_data()."""
