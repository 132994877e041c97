"""What is published of a server for those who connect to it: a Secret, a Profile of Kanister's."""
