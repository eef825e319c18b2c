"""A build backend that a project has of its own, so that nothing is fetched, and little waited for."""

# Builds a wheel of all packages that lie beside it, or in src.
BACKEND = '''
import os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel."""
    top = "src" if os.path.isdir("src") else "."
    name = "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for folder, _, files in os.walk(top):
            for file in files:
                path = os.path.relpath(os.path.join(folder, file), top)
                if file.endswith(".py") and os.path.dirname(path):
                    wheel.write(os.path.join(top, path), path)
        wheel.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n"
                       "Requires-Dist: not-there-at-all\\n")
        wheel.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("toy-1.0.dist-info/RECORD", "")
    return name
'''
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "toy"
version = "1.0"
"""
