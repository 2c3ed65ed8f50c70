"""Django's settings where an inventory of the shop is made."""
SECRET_KEY = 'shop'
USE_TZ = True
INSTALLED_APPS = []
