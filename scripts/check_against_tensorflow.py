"""Compares Espalier with TensorFlow: see check_against_tensorflow.sh.

Rows of the table:
  run        graphs that TensorFlow made, run by `espalier run`, against TensorFlow's values
  gradients  graphs with gradients that `espalier gradients` made, run by TensorFlow
  train      the notebook's networks, exported as MetaGraphs, trained by TensorFlow beside Espalier
"""

import glob
import gzip
import json
import os
import subprocess
import sys
import tarfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np  # noqa: E402

TOOLS, WORK = sys.argv[1], sys.argv[2]
ESPALIER = os.path.join(TOOLS, "tools/espalier")
NOTEBOOK = os.path.join(TOOLS, "examples/mnist/notebook")
STEPS = 20


def command(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True)


def close(got, want, rtol, atol):
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    if got.dtype.kind != "f":
        return np.array_equal(got, want)
    return np.allclose(got, want, rtol, atol, equal_nan=True)


def cases():
    for archive in sorted(glob.glob("tests/conformance/*.tar.gz")):
        with tarfile.open(archive) as tar:
            tar.extractall(os.path.join(WORK, "cases"))
    return sorted(glob.glob(os.path.join(WORK, "cases", "*__*")))


def check_run(folders):
    failed = []
    for folder in folders:
        result = command(ESPALIER, "run", f"--graph={folder}/graph.pb",
                         f"--script={folder}/script.json", f"--output_dir={WORK}/out")
        if result.returncode != 0:
            failed.append(os.path.basename(folder))
    return len(folders), failed


def gradients_of(folder, case):
    """The graph with gradients of the order that the case asks for, and each x's gradient."""
    graph, ys, names = f"{folder}/graph.pb", case["ys"], {}
    for order in range(case["order"]):
        output, listed = f"{folder}/g{order}.pb", f"{folder}/names{order}.json"
        result = command(ESPALIER, "gradients", f"--graph={graph}", "--ys=" + ",".join(ys),
                         "--xs=" + ",".join(case["xs"]), f"--output={output}",
                         f"--names_output={listed}")
        if result.returncode != 0:
            return None, None
        with open(listed) as file:
            names = json.load(file)
        graph, ys = output, [names[x] for x in case["xs"] if names[x]]
    return graph, names


def check_gradients(folders):
    import tensorflow.compat.v1 as tf
    tf.disable_eager_execution()
    checked, failed = 0, []
    for folder in folders:
        if not os.path.exists(f"{folder}/gradients.json"):
            continue
        checked += 1
        with open(f"{folder}/gradients.json") as file:
            case = json.load(file)
        graph, names = gradients_of(folder, case)
        good = graph is not None
        if good:
            definition = tf.GraphDef()
            with open(graph, "rb") as file:
                definition.ParseFromString(file.read())
            with tf.Graph().as_default():
                tf.import_graph_def(definition, name="")
                with tf.Session() as session:
                    session.run(case["init"])
                    for one in [case] + case.get("more", []):
                        feeds = {k: np.load(f"{folder}/{v}") for k, v in one["feeds"].items()}
                        for x in case["xs"]:
                            if names[x] is None:
                                good &= one["expect"][x] is None
                                continue
                            want = np.load(f"{folder}/{one['expect'][x]}")
                            good &= close(session.run(names[x], feeds), want, case["rtol"],
                                          case["atol"])
        if not good:
            failed.append(os.path.basename(folder))
    return checked, failed


def idx(name):
    """An IDX file of MNIST, unpacked or not."""
    path = f"data/mnist/{name}"
    data = gzip.open(path + ".gz").read() if not os.path.exists(path) else open(path, "rb").read()
    rank = data[3]
    shape = np.frombuffer(data, ">i4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def batches():
    images = idx("train-images-idx3-ubyte")[: 64 * STEPS].astype("f")[..., None] / 255
    labels = np.eye(10, dtype="f")[idx("train-labels-idx1-ubyte")[: 64 * STEPS]]
    return [(images[i : i + 64], labels[i : i + 64]) for i in range(0, 64 * STEPS, 64)]


def train_with_tensorflow(meta, output):
    """The losses of 20 steps, in a process of its own: oneDNN is chosen when TensorFlow loads."""
    import tensorflow.compat.v1 as tf
    tf.disable_eager_execution()
    threads = int(os.environ["THREADS"])
    config = tf.ConfigProto(intra_op_parallelism_threads=threads,
                            inter_op_parallelism_threads=threads)
    tf.train.import_meta_graph(meta)
    graph = tf.get_default_graph()
    train = tf.get_collection("train_op")[0]
    training = {"is_training:0": True} if "is_training" in [
        n.name for n in graph.as_graph_def().node] else {}
    losses, norms = [], []
    variables = tf.trainable_variables()
    gradients = tf.gradients(graph.get_tensor_by_name("loss:0"), variables)
    with tf.Session(config=config) as session:
        session.run(tf.global_variables_initializer())
        for i, (x, y) in enumerate(batches()):
            if os.environ["REVERSED"] == "1":
                x, y = x[::-1], y[::-1]
            feeds = {"x:0": x, "y:0": y, **training}
            if i == 0:
                norms = [float(np.linalg.norm(g)) for g in session.run(gradients, feeds)]
            losses.append(float(session.run(["loss:0", train], feeds)[0]))
    with open(output, "w") as file:
        json.dump({"losses": losses, "norms": norms, "xs": [v.op.name for v in variables]}, file)


def train_with_espalier(meta, name, xs):
    import tensorflow.compat.v1 as tf
    definition = tf.MetaGraphDef()
    with open(meta, "rb") as file:
        definition.ParseFromString(file.read())
    nodes = {node.name for node in definition.graph_def.node}
    initializers = []
    for value in definition.collection_def["variables"].bytes_list.value:
        from tensorflow.core.framework import variable_pb2
        variable = variable_pb2.VariableDef()
        variable.ParseFromString(value)
        initializers.append(variable.initializer_name)
    with_gradients, listed = f"{WORK}/{name}_gradients.pb", f"{WORK}/{name}_names.json"
    command(ESPALIER, "gradients", f"--graph={meta}", "--ys=loss:0",
            "--xs=" + ",".join(x + ":0" for x in xs), f"--output={with_gradients}",
            f"--names_output={listed}")
    with open(listed) as file:
        names = json.load(file)
    train = definition.collection_def["train_op"].node_list.value[0]
    steps = [{"target": initializers}]
    for i, (x, y) in enumerate(batches()):
        np.save(f"{WORK}/x{i}.npy", x)
        np.save(f"{WORK}/y{i}.npy", y)
        feed = {"x:0": f"{WORK}/x{i}.npy", "y:0": f"{WORK}/y{i}.npy"}
        if "is_training" in nodes:
            np.save(f"{WORK}/true.npy", np.array(True))
            feed["is_training:0"] = f"{WORK}/true.npy"
        if i == 0:
            steps.append({"feed": feed, "fetch": list(names.values())})
        steps.append({"feed": feed, "fetch": ["loss:0"], "target": [train]})
    with open(f"{WORK}/{name}.json", "w") as file:
        json.dump({"steps": steps}, file)
    output = f"{WORK}/{name}_out"
    result = command(ESPALIER, "run", f"--graph={with_gradients}", f"--script={WORK}/{name}.json",
                     f"--output_dir={output}")
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    norms = [float(np.linalg.norm(np.load(
        f"{output}/1/" + names[x + ":0"].replace(":", "_").replace("/", "_") + ".npy"))) for x in xs]
    losses = [float(np.load(f"{output}/{i}/loss_0.npy")) for i in range(2, 2 + STEPS)]
    return losses, norms


def difference(norms, reference):
    """The largest relative difference of two lists of norms."""
    return max(abs(a - b) / max(b, 1e-6) for a, b in zip(norms, reference))


def check_train(name):
    meta = f"{WORK}/{name}.meta"
    result = command(NOTEBOOK, f"--network={name}", f"--export_meta_graph={meta}")
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    # TensorFlow beside itself: threads, oneDNN, and the examples of each batch in reverse, which
    # changes nothing but the order of its sums.
    runs = []
    for threads, onednn, reverse in (("1", "0", "0"), ("1", "1", "0"), ("2", "0", "0"),
                                     ("2", "1", "0"), ("1", "0", "1")):
        output = f"{WORK}/{name}_{threads}{onednn}{reverse}.json"
        environment = {**os.environ, "THREADS": threads, "TF_ENABLE_ONEDNN_OPTS": onednn,
                       "REVERSED": reverse}
        subprocess.run([sys.executable, __file__, TOOLS, WORK, meta, output], check=True,
                       env=environment, stderr=subprocess.DEVNULL)
        with open(output) as file:
            runs.append(json.load(file))
    losses, norms = train_with_espalier(meta, name, runs[0]["xs"])
    reference = runs[0]
    first = abs(losses[0] - reference["losses"][0])
    norm = difference(norms, reference["norms"])
    norm_spread = max(difference(run["norms"], reference["norms"]) for run in runs[1:])
    spread = max(max(abs(a - b) for a, b in zip(run["losses"], reference["losses"]))
                 for run in runs[1:4])
    ours = min(max(abs(a - b) for a, b in zip(losses, run["losses"])) for run in runs[:4])
    good = first <= 1e-4 and norm <= max(1e-3, 3 * norm_spread) and ours <= 3 * max(spread, 1e-6)
    print(f"train {name:<10} loss of step 1 within {first:.1e}, gradients' norms {norm:.1e} "
          f"(TensorFlow's own spread {norm_spread:.1e}); over {STEPS} steps {ours:.1e} "
          f"({spread:.1e})  "
          f"{'ok' if good else 'FAILED'}")
    return good


def main():
    if len(sys.argv) > 3:
        train_with_tensorflow(sys.argv[3], sys.argv[4])
        return 0
    folders = cases()
    good = True
    for row, check in (("run", check_run), ("gradients", check_gradients)):
        count, failed = check(folders)
        known = open("tests/conformance/exceptions.txt").read()
        unknown = [name for name in failed if name not in known]
        good &= not unknown
        print(f"{row:<16} {count - len(failed)} of {count} graphs  "
              f"{'ok' if not unknown else 'FAILED'}"
              + "".join(f"\n                   {name}" for name in failed))
    for name in ("plain", "layers", "low_level"):
        good &= check_train(name)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
