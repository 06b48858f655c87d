"""The mathematics and the loop: pure functions of arrays, which open no file and know no command line."""
