# -*- coding: utf-8 -*-
from django.db import models


class Plot(models.Model):
    name = models.CharField(max_length=20)
    area = models.IntegerField(default=3)

    class Meta:
        app_label = 'orchard'


class Harvest(models.Model):
    plot = models.ForeignKey(Plot, on_delete=models.CASCADE)
    kilos = models.DecimalField(max_digits=6, decimal_places=2)
    note = models.TextField(null=True)

    class Meta:
        app_label = 'orchard'


class Worker(models.Model):
    """The same on both sides."""
    name = models.CharField(max_length=20)
    since = models.DateField(null=True)

    class Meta:
        app_label = 'orchard'
