"""Loads the notebook's networks, specialised, into other programs: see check_importers.sh.

Each network is trained for some steps on random images, specialised, and must give the same logits
everywhere to 1e-5 of the largest.
"""

import json
import os
import subprocess
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np  # noqa: E402

TOOLS, WORK = sys.argv[1], sys.argv[2]
ESPALIER = os.path.join(TOOLS, "tools/espalier")
NOTEBOOK = os.path.join(TOOLS, "examples/mnist/notebook")
BATCH = 8
STEPS = 30


def command(*arguments):
    result = subprocess.run(arguments, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {result.stderr}")


def save(name, array):
    np.save(f"{WORK}/{name}.npy", array)
    return f"{WORK}/{name}.npy"


def train_and_specialize(name, images):
    """The training graph's own logits, and the file of the specialised graph."""
    import tensorflow.compat.v1 as tf
    from tensorflow.core.framework import variable_pb2
    meta, plain = f"{WORK}/{name}.meta", f"{WORK}/{name}.pb"
    command(NOTEBOOK, f"--network={name}", f"--export_meta_graph={meta}")
    definition = tf.MetaGraphDef()
    with open(meta, "rb") as file:
        definition.ParseFromString(file.read())
    initializers = []
    for value in definition.collection_def["variables"].bytes_list.value:
        variable = variable_pb2.VariableDef()
        variable.ParseFromString(value)
        initializers.append(variable.initializer_name)
    switched = any(node.name == "is_training" for node in definition.graph_def.node)
    train = definition.collection_def["train_op"].node_list.value[0]
    random = np.random.RandomState(2)
    labels = np.eye(10, dtype="f")[random.randint(0, 10, BATCH)]
    feed = {"x:0": save("x", images), "y:0": save("y", labels)}
    training, using = dict(feed), dict(feed)
    if switched:
        training["is_training:0"] = save("true", np.array(True))
        using["is_training:0"] = save("false", np.array(False))
    steps = [{"target": initializers}, {"feed": training, "target": [train], "repeat": STEPS},
             {"feed": using, "fetch": ["logits:0"]}]
    script = f"{WORK}/{name}.json"
    with open(script, "w") as file:
        json.dump({"steps": steps}, file)
    command(ESPALIER, "run", f"--graph={meta}", f"--script={script}", f"--output_dir={WORK}/{name}")
    values = ["--set=is_training:0=false"] if switched else []
    command(ESPALIER, "specialize", f"--graph={meta}", f"--script={script}", *values,
            "--fetch=logits:0", f"--output={plain}")
    return np.load(f"{WORK}/{name}/2/logits_0.npy"), plain


def by_espalier(plain, images):
    command(ESPALIER, "run", f"--graph={plain}", f"--feed=x:0={save('x', images)}",
            f"--fetch=logits:0={WORK}/logits.npy")
    return np.load(f"{WORK}/logits.npy")


def by_tensorflow(plain, images):
    import tensorflow.compat.v1 as tf
    definition = tf.GraphDef()
    with open(plain, "rb") as file:
        definition.ParseFromString(file.read())
    with tf.Graph().as_default():
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            return session.run("logits:0", {"x:0": images})


def by_opencv(plain, images):
    import cv2
    network = cv2.dnn.readNetFromTensorflow(plain)
    network.setInput(np.transpose(images, (0, 3, 1, 2)), "x")
    return network.forward()


def by_openvino(plain, images):
    import openvino
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(plain), "CPU", exact)
    return model(images)[0]


def by_onnx(plain, images):
    import onnxruntime
    onnx = f"{WORK}/model.onnx"
    command(sys.executable, "-m", "tf2onnx.convert", "--graphdef", plain, "--inputs", "x:0",
            "--outputs", "logits:0", "--output", onnx)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return session.run(["logits:0"], {"x:0": images})[0]


def main():
    images = np.random.RandomState(1).rand(BATCH, 28, 28, 1).astype("f")
    programs = [("espalier", by_espalier), ("tensorflow", by_tensorflow), ("opencv", by_opencv),
                ("openvino", by_openvino), ("onnxruntime", by_onnx)]
    good = True
    for name in ("plain", "layers", "low_level"):
        want, plain = train_and_specialize(name, images)
        for program, run in programs:
            try:
                got = np.asarray(run(plain, images)).reshape(want.shape)
                error = float(np.max(np.abs(got - want)) / max(1.0, float(np.max(np.abs(want)))))
                verdict = "ok" if error <= 1e-5 else "FAILED"
                print(f"{name:<10} {program:<12} within {error:.1e}  {verdict}")
            except Exception as failure:  # a program that refuses the file is a row too
                verdict = "FAILED"
                print(f"{name:<10} {program:<12} {str(failure).splitlines()[0][:100]}  FAILED")
            good &= verdict == "ok"
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
