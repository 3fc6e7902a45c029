"""Within the modalities or between them?"""
