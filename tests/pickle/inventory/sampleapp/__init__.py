"""An application for inventories to be made of."""
