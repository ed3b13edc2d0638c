"""Fine-tuning of pretrained networks on images in groups, whatever the images: parts that studies of transfer share."""
