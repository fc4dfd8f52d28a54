"""What authors of plug-ins, and our own tests, check new parts against."""
