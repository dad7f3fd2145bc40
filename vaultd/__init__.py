"""The daemon: keeps sealed records of many computers on local disks and gives them back to who may have them."""
