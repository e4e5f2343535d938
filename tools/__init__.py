"""Programs that belong to the repository and not to the package: what is generated, checked and fetched."""
