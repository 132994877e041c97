"""What `hack/release` makes: image, manifests, chart, wheel, what is in the image."""
