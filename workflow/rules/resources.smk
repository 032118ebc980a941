# What a job asks a scheduler for. A second attempt asks for twice as much: it may be memory or time that was missing.
def growing(first):
    def asked(wildcards, attempt):
        return first * attempt

    return asked
