"""From a frame to keypoints: normalisation, networks' back ends, geometry and the tracker."""
