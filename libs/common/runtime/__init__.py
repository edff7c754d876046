"""What keeps a service going: the consumer loop, lifecycle, fail points. No drivers."""
