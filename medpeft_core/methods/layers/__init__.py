"""What the methods put into a model: modules and adapted models. Heavy."""
