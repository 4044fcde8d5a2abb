"""Settings of the Superset that the checks start: for one run, on this machine, worth nothing outside of it."""

import os

SECRET_KEY = "for-the-checks-of-the-clients-alone"
SQLALCHEMY_DATABASE_URI = "sqlite:///" + os.path.join(os.environ["SUPERSET_HOME"], "superset.db")
# Its programs are asked by a program, over its interface for programs.
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
# Wardhouse may be on a loopback address.
PREVENT_UNSAFE_DB_CONNECTIONS = False
SQLLAB_TIMEOUT = 60
