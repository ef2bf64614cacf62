"""The Pulumi program: one environment of the service in AWS. `__main__` tells what it is made of.

No module here may bear the name of one in the standard library or in a dependency: Pulumi puts
this folder first on `sys.path`.
"""
