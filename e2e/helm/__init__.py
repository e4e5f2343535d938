"""`make e2e-helm`: the image and the chart in the hands of a platform engineer, from installation to removal."""
