from tinytorch.cli.commands import app

app()
