"""`polylore tables`: the column contracts, printed."""

import click

from polylore.cli.values import nearest


@click.command()
@click.argument("names", nargs=-1, metavar="[TABLE]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def tables(names: tuple[str, ...], as_json: bool) -> None:
    """Print every table, or the named ones: each column's type, unit and meaning."""
    import json

    from polylore.errors import DataError
    from polylore.tables import ALL

    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise DataError(
            f"There is no table {unknown[0]}{nearest(unknown[0], ALL)}; `polylore tables` prints "
            "all of them."
        )
    chosen = [ALL[name] for name in names] or list(ALL.values())
    if as_json:
        value = {
            table.name: {
                "meaning": table.meaning,
                "raw": table.raw,
                "key": list(table.key),
                "columns": [
                    {
                        "name": c.name,
                        "dtype": str(c.dtype),
                        "unit": c.unit,
                        "nullable": c.nullable,
                        "meaning": c.meaning,
                    }
                    for c in table.columns
                ],
            }
            for table in chosen
        }
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
        return
    for table in chosen:
        kind = "raw" if table.raw else "derived"
        click.secho(f"\n{table.name}", bold=True, nl=False)
        click.echo(f"  ({kind}) {table.meaning}")
        if table.key:
            click.echo(f"  key: {', '.join(table.key)}")
        for c in table.columns:
            dtype = str(c.dtype) + ("?" if c.nullable else "")
            unit = f" [{c.unit}]" if c.unit else ""
            click.echo(f"  {c.name:<24}{dtype:<16}{c.meaning}{unit}")
