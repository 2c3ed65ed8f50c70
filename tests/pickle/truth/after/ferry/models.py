# -*- coding: utf-8 -*-
from django.db import models


class Vessel(models.Model):
    name = models.CharField(max_length=20)
    built = models.IntegerField(null=True)

    class Meta:
        app_label = 'ferry'


class Sailing(models.Model):
    vessel = models.ForeignKey(Vessel, null=True, on_delete=models.CASCADE)
    at = models.DateTimeField()
    cancelled = models.BooleanField(default=False)

    class Meta:
        app_label = 'ferry'


class Buoy(models.Model):
    """The same on both sides, but for a method."""
    name = models.CharField(max_length=20)
    depth = models.DecimalField(max_digits=6, decimal_places=2, null=True)

    class Meta:
        app_label = 'ferry'

    def is_deep(self):
        return self.depth > 20
