"""What a location Secret and a credential Secret make of Kopia's configuration and of the pod.

Pure. `kinds` has the table of what there is: one module for each kind of storage, each with a
function from a `Source` to a `Storage`.
"""
