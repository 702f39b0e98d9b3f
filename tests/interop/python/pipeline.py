"""What a runner makes of a pipeline: prints {"script", "environment"} as JSON.

pipeline.py github WORKFLOW JOB SECRETS    the step of JOB that uses an action of this folder
pipeline.py gitlab PIPELINE JOB            a job that extends one of a local file
pipeline.py runs FILE                      a list of all scripts of a workflow or an action, with a
                                           word in the place of each expression

Of GitHub's expressions, `inputs` and `secrets` (a JSON object) are known; another one is an
error. GitHub runs `shell: bash` as `bash --noprofile --norc -eo pipefail`, GitLab a script's
lines one after the other, until one fails.
"""

import json
import pathlib
import re
import sys

from ruamel.yaml import YAML


def read(path: str) -> dict:
    return YAML(typ="safe", pure=True).load(pathlib.Path(path))


def filled(value: str, known: dict[str, dict[str, str]]) -> str:
    def one(match: re.Match[str]) -> str:
        context, name = match[1].split(".")
        return known[context][name]

    return re.sub(r"\$\{\{\s*([\w.]+)\s*\}\}", one, str(value))


def github(workflow: str, job: str, secrets: str) -> dict:
    known = {"secrets": json.loads(secrets)}
    steps = read(workflow)["jobs"][job]["steps"]
    (step,) = [step for step in steps if step.get("uses", "").startswith("./")]
    action = read(f"{step['uses']}/action.yml")
    given = {name: filled(value, known) for name, value in step["with"].items()}
    assert set(given) <= set(action["inputs"]), given
    known["inputs"] = {}
    for name, about in action["inputs"].items():
        assert name in given or not about.get("required"), name
        known["inputs"][name] = given.get(name, about.get("default", ""))
    (run,) = action["runs"]["steps"]
    assert run["shell"] == "bash"
    environment = {**step.get("env", {}), **run.get("env", {})}
    environment = {name: filled(value, known) for name, value in environment.items()}
    return {"script": run["run"], "environment": environment}


def gitlab(pipeline: str, job: str) -> dict:
    document = read(pipeline)
    base: dict = {}
    for include in document["include"]:
        base |= read(include["local"])
    job_ = document[job]
    parent = base[job_["extends"]]
    variables = {**parent.get("variables", {}), **job_.get("variables", {})}
    script = {**parent, **job_}["script"]
    return {"script": "\n".join(script), "environment": variables}


def runs(path: str) -> list[str]:
    document = read(path)
    jobs = document.get("jobs") or {"action": document["runs"]}
    steps = [step for job in jobs.values() for step in job["steps"]]
    return [re.sub(r"\$\{\{.*?\}\}", "expression", step["run"]) for step in steps if "run" in step]


print(json.dumps({"github": github, "gitlab": gitlab, "runs": runs}[sys.argv[1]](*sys.argv[2:])))
