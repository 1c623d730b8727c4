"""Look-alikes of MIMIC-CXR-JPG, VinDr-CXR and PadChest: official columns and file names, with tiny images."""

import gzip
from pathlib import Path

from chest_files import write_image

MIMIC_LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
MIMIC_METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
VINDR_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)
_SEEN = {
    "R8": ("Cardiomegaly", "Pneumonia"),
    "R9": ("Cardiomegaly", "Pneumonia", "Edema"),
    "R10": ("Cardiomegaly",),
}
PADCHEST_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
PADCHEST_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,PhotometricInterpretation_DICOM,"
    "PixelRepresentation_DICOM,PixelAspectRatio_DICOM,SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,"
    "WindowWidth_DICOM,Rows_DICOM,Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,"
    "ExposureTime,RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,"
    "LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS"
)


def write_table(path: Path, lines: list[str], *, packed: bool = False) -> None:
    content = ("\n".join(lines) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)


def make_mimic(root: Path, num_patients: int = 10, *, packed: bool = False) -> Path:
    """A study with a PA and a lateral film, and one with an AP film, for each patient of p10 and p11."""
    end = ".csv.gz" if packed else ".csv"
    split, metadata, labels = [], [], []
    for number in range(num_patients):
        subject = (10 + number % 2) * 1_000_000 + 32 + number
        part = ("train", "train", "train", "validate", "test")[number % 5]
        for study, views in ((50_000_000 + 10 * number, ("PA", "LATERAL")), (50_000_005 + 10 * number, ("AP",))):
            labels.append(f"{subject},{study},1.0,,-1.0,-1.0,,,,,,0.0,,,,")
            for view in views:
                dicom = f"{study:08x}-{subject:08x}-bdafc19f-7a8efd65-{view.lower():0>8}"
                write_image(root / f"files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom}.jpg")
                split.append(f"{dicom},{study},{subject},{part}")
                metadata.append(f"{dicom},{subject},{study},CHEST (PA AND LAT),{view},2544,3056,21800506,213014.5,,,")
    tables = {
        "split": ["dicom_id,study_id,subject_id,split", *split], "metadata": [MIMIC_METADATA, *metadata],
        "chexpert": [f"subject_id,study_id,{MIMIC_LABELS}", *labels],
        "negbio": [f"subject_id,study_id,{MIMIC_LABELS}", *(line.replace(",1.0,", ",0.0,", 1) for line in labels)],
    }  # fmt: skip
    for name, lines in tables.items():
        write_table(root / f"mimic-cxr-2.0.0-{name}{end}", lines, packed=packed)
    return root


def vindr_id(number: int) -> str:
    return f"{number:032x}"


def vindr_row(image: str, reader: str, *labels: str) -> str:
    marks = ["1" if name in labels else "0" for name in VINDR_LABELS.split(",")]
    return ",".join([image, *([reader] if reader else []), *marks])


def make_vindr(root: Path, num_train: int = 20, num_test: int = 4, *, ending: str = ".dicom", tables: str = "") -> Path:
    """Three radiologists see Cardiomegaly in every film, two Pneumonia, one Edema; with a box of each reader."""
    train, train_boxes = [], []
    for number in range(num_train):
        image = vindr_id(number)
        write_image(root / f"train/{image}{ending}")
        for reader, seen in _SEEN.items():
            train.append(vindr_row(image, reader, *seen))
            train_boxes.append(f"{image},{reader},Cardiomegaly,10.0,20.0,{40 + len(reader)}.0,60.0")
        train_boxes.append(f"{image},R9,No finding,,,,")
    test, test_boxes = [], []
    for number in range(900, 900 + num_test):
        write_image(root / f"test/{vindr_id(number)}{ending}")
        test.append(vindr_row(vindr_id(number), "", "Aortic enlargement", "Other diseases"))
        test_boxes.append(f"{vindr_id(number)},Aortic enlargement,1.5,2,3,4")
    header = "image_id,class_name,x_min,y_min,x_max,y_max"
    folder = root / tables
    write_table(folder / "image_labels_train.csv", [f"image_id,rad_id,{VINDR_LABELS}", *train])
    test_header = VINDR_LABELS.replace("Other diseases", "Other disease")
    write_table(folder / "image_labels_test.csv", [f"image_id,{test_header}", *test])
    write_table(folder / "annotations_train.csv", [header.replace("image_id,", "image_id,rad_id,"), *train_boxes])
    write_table(folder / "annotations_test.csv", [header, *test_boxes])
    return root


def padchest_row(name: str, **cells: str) -> str:
    """A line of PadChest's table, with a report that holds commas, quotes and line breaks."""
    values = {
        "ImageID": name, "ImageDir": "0", "StudyDate_DICOM": "20140915", "PatientID": "1234", "PatientBirth": "1930.0",
        "PatientSex_DICOM": "F", "ViewPosition_DICOM": "POSTEROANTERIOR", "Projection": "PA", "BitsStored_DICOM": "12",
        "Report": 'sin, cambios "relevantes"\n .', "MethodLabel": "Physician", "Labels": "['normal']", **cells,
    }  # fmt: skip
    quoted = ['"' + values.get(column, "").replace('"', '""') + '"' for column in PADCHEST_HEADER.split(",")]
    return ",".join(quoted)


def padchest_name(number: int) -> str:
    return f"2168401113669640128{number:02d}_00-059-{number:03d}.png"


def make_padchest(root: Path, num_patients: int = 10, *, folder: str = "", packed: bool = False) -> Path:
    """A PA and a lateral film of each patient, with findings in turn."""
    findings = ("['cardiomegaly', 'pleural effusion']", "[' laminar atelectasis', 'COPD signs']", "['normal']")
    lines = [PADCHEST_HEADER]
    for number in range(2 * num_patients):
        name = padchest_name(number)
        cells = {
            "PatientID": f"9{number // 2:07d}", "Labels": findings[number // 2 % 3],
            "Projection": ("PA", "L")[number % 2], "StudyDate_DICOM": f"20{10 + number // 2 % 7}0301",
        }  # fmt: skip
        lines.append(padchest_row(name, **cells))
        write_image(root / folder.format(number % 2) / name)
    write_table(root / f"{PADCHEST_TABLE}{'.gz' if packed else ''}", lines, packed=packed)
    return root
