"""Pictures of clips and of classes, for trackers, reports, predictions and the explore page."""
