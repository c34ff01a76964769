// Counts the objects of each class in a photo, with a detector that `cspdarknet export` wrote.
//
//     count_cells MODEL.onnx CLASS,CLASS,... PHOTO
//
// The file has letterbox, box decoding and NMS inside, so that it takes the pixels of the photo and
// returns boxes in pixels of the photo.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

struct Detection {
  std::array<float, 4> box;  // left, top, right, bottom in pixels
  float confidence;
  int class_id;
};

struct Photo {
  int width = 0, height = 0;
  std::unique_ptr<stbi_uc, void (*)(void*)> pixels{nullptr, stbi_image_free};  // rows of RGB
};

Photo read_photo(const char* path) {
  Photo photo;
  int channels = 0;
  photo.pixels.reset(stbi_load(path, &photo.width, &photo.height, &channels, 3));
  if (!photo.pixels) {
    throw std::runtime_error(std::string(path) + ": " + stbi_failure_reason());
  }
  return photo;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream stream(text);
  for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
  return names;
}

// The input must be uint8 images of any size, as with `--letterbox`.
void check_input(const Ort::Session& session) {
  const auto type = session.GetInputTypeInfo(0);
  const auto info = type.GetTensorTypeAndShapeInfo();
  const auto shape = info.GetShape();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || shape.size() != 4 ||
      shape[1] > 0 || shape[2] > 0 || session.GetOutputCount() != 4) {
    throw std::runtime_error(
        "the model must be a detector that takes images of any size: export it with --letterbox");
  }
}

std::vector<Detection> detect(Ort::Session& session, const Photo& photo) {
  const std::array<std::int64_t, 4> shape{1, photo.height, photo.width, 3};
  const std::size_t size = std::size_t{3} * photo.height * photo.width;
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto images = Ort::Value::CreateTensor<std::uint8_t>(
      memory, photo.pixels.get(), size, shape.data(), shape.size());
  const char* inputs[] = {"images"};
  const char* outputs[] = {"boxes", "confidence", "classes", "num_detections"};
  const auto values = session.Run(Ort::RunOptions{nullptr}, inputs, &images, 1, outputs, 4);
  const float* boxes = values[0].GetTensorData<float>();
  const float* confidence = values[1].GetTensorData<float>();
  const auto* classes = values[2].GetTensorData<std::int32_t>();
  std::vector<Detection> detections(*values[3].GetTensorData<std::int32_t>());
  for (std::size_t i = 0; i < detections.size(); ++i) {
    const float* box = boxes + 4 * i;
    detections[i] = {{box[0], box[1], box[2], box[3]}, confidence[i], classes[i]};
  }
  return detections;
}

int run(const char* model, const std::vector<std::string>& names, const char* path) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "count_cells");
  Ort::Session session(env, model, Ort::SessionOptions{});
  check_input(session);
  std::vector<int> counts(names.size());
  for (const auto& [box, confidence, class_id] : detect(session, read_photo(path))) {
    const std::string name = names.at(class_id);
    ++counts[class_id];
    std::printf("%s %.3f at %.1f %.1f %.1f %.1f\n", name.c_str(), confidence, box[0], box[1],
                box[2], box[3]);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::printf("%s: %d\n", names[i].c_str(), counts[i]);
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "Usage: count_cells MODEL.onnx CLASS,CLASS,... PHOTO\n";
    return 2;
  }
  try {
    return run(argv[1], split(argv[2]), argv[3]);
  } catch (const std::out_of_range&) {
    std::cerr << "count_cells: the model has more classes than were named\n";
  } catch (const std::exception& error) {
    std::cerr << "count_cells: " << error.what() << '\n';
  }
  return 1;
}
